"""Chat with a model: replies stream in, thinking folds away, conversations are stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from localrl.chat import ThinkingControl
from localrl.conversation import export
from localrl.errors import StoreError, UsageError
from localrl.tui import keys
from localrl.tui.screens.base import BaseScreen
from localrl.tui.widgets.chat.conversation import ConversationView
from localrl.tui.widgets.chat.message import ReplyView, UserMessage
from localrl.tui.widgets.chat.panel import Panel
from localrl.tui.widgets.chat.prompt import PromptInput
from localrl.tui.work.chat import ChatRequest, ChatWork, remove_chat, stored_chat, stored_chats

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.widget import Widget

    from localrl.sampling import Sampling
    from localrl.store.chats import Chat, ChatMessage
    from localrl.tui.work.chat import LiveReply

TICK_S = 1 / 10


class ChatScreen(BaseScreen):
    GROUP = "chat"
    BINDINGS = keys.bindings("chat")
    CSS = """
    ChatScreen #conversation { width: 1fr; }
    ChatScreen #welcome { color: $secondary; margin: 1 1; }
    ChatScreen #chats { width: 30; height: 1fr; display: none; background: $background;
        text-wrap: nowrap; text-overflow: ellipsis; }
    ChatScreen #chats.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._chat: Chat | None = None
        self._messages: list[ChatMessage] = []
        self._replace_from: int | None = None
        self._reply: LiveReply | None = None
        self._view: ReplyView | None = None
        self._updating = False
        self._warned = False
        self._sure: int | None = None
        """The conversation that is deleted when the key is pressed again."""

    @property
    def work(self) -> ChatWork:
        if self.program.chat_work is None:
            self.program.chat_work = ChatWork()
        return self.program.chat_work

    def body(self) -> ComposeResult:
        with Horizontal():
            chats = OptionList(id="chats", classes="pane", compact=True, markup=False)
            chats.border_title = "conversations"
            yield chats
            with Vertical(id="conversation"):
                with ConversationView():
                    yield Static(id="welcome", markup=False)
                yield PromptInput(self.program.key("app.leave"))
            yield Panel()

    def on_mount(self) -> None:
        self.set_interval(TICK_S, self._tick)
        self.query_one(PromptInput).focus()
        self._list()
        self._welcome()

    def on_screen_resume(self) -> None:
        self._defaults()
        self._welcome()

    def _defaults(self) -> None:
        """The card's sampling for the chosen model."""
        from localrl.catalog import card as cards
        from localrl.conversation import sampling_of
        from localrl.errors import LocalrlError

        name, card, source = self.program.selection.model.partition(":")[0], None, ""
        try:
            card = cards.load(name) if name in cards.available() else None
        except LocalrlError as error:
            source = str(error)
        if card:
            source = card.sampling_source
        self.query_one(Panel).defaults(sampling_of(card), source or "no card: common values")

    def _welcome(self) -> None:
        if welcome := self.query("#welcome"):
            text = f"Talk to {self.program.selection.model}. It is loaded with the first message."
            welcome.first(Static).update(text)

    # -- what goes on

    async def _tick(self) -> None:
        """Ten times a second: show what has arrived of the reply."""
        reply, view = self._reply, self._view
        if reply is None or view is None or self._updating:
            return
        if not (view.is_mounted and view.is_attached):  # attached, but its children may not be
            return
        if not self.is_current and not reply.over:
            return
        self._updating = True
        try:
            over, conversation = reply.over, self.query_one(ConversationView)
            follow = conversation.is_vertical_scroll_end
            anchored = conversation.anchored(follow and not over)
            await view.update_reply(reply)
            if follow and not anchored:
                conversation.scroll_end(animate=False)
            if over:
                self._reply_ended(reply)
                if follow:
                    await conversation.trim()
        finally:
            self._updating = False

    def _reply_ended(self, reply: LiveReply) -> None:
        self._reply = None
        if reply.question.text and reply.user is None:  # it could not be stored: give it back
            self._take_off(self.query_one(ConversationView).last_exchange())
            prompt = self.query_one(PromptInput)
            prompt.text = prompt.text or reply.question.text
            self._edit(reply.question.replace_from)
        self._chat = reply.chat or self._chat
        self._messages += [message for message in (reply.user, reply.message) if message]
        if reply.user:
            self.query(UserMessage).last().message = reply.user
        if reply.died:
            self.notify("The engine died and was started again; the reply began anew.", severity="warning")
        self._list()
        self.refresh_bindings()

    def on_prompt_input_sent(self, event: PromptInput.Sent) -> None:
        if settings := self._ready():
            self._send(event.text, *settings)

    def _is_busy(self) -> bool:
        """Whether a reply is under way or not yet fully shown; notifies if so."""
        busy = self._reply is not None or self.work.busy
        if busy:
            self.notify(f"A reply is under way; {self.program.key('app.stop')} stops it.", timeout=3)
        return busy

    def _ready(self) -> tuple[Sampling, ThinkingControl] | None:
        """What to send with; None, after a notice, where nothing can be sent now."""
        if self._is_busy():
            return None
        bench = self.program.bench_work
        if bench and not bench.ended and not self._warned:
            self._warned = True
            self.notify(
                "A run is under way: talking slows it and needs memory for a second model. "
                "Send again to do it anyway.",
                severity="warning",
            )
            return None
        try:
            panel, control = self.query_one(Panel), self._chat.control if self._chat else ThinkingControl()
            return panel.sampling(), panel.control(control)
        except UsageError as error:
            self.program.tell_error(error, "sampling")
            return None

    def _send(self, text: str, sampling: Sampling, control: ThinkingControl) -> None:
        work, panel = self.work, self.query_one(Panel)
        question = ChatRequest(self._chat, text, panel.system, sampling, control, self._replace_from)
        self._edit(None)
        self.query_one(PromptInput).text = ""
        self._reply = work.begin(question)
        self._view = ReplyView()
        conversation = self.query_one(ConversationView)
        self.query("#welcome").remove()
        if text:
            conversation.mount(UserMessage(text))
        conversation.mount(self._view)
        conversation.to_end()
        reply, choice, context = self._reply, self.program.selection, self.program.settings.ctx
        self.program.in_thread(lambda: work.ask(reply, choice, context), "chat")
        self.refresh_bindings()

    # -- conversations

    def _list(self) -> None:
        self.background(stored_chats, self._listed, "conversations")

    def _listed(self, chats: list[Chat]) -> None:
        listed = self.query_one("#chats", OptionList)
        listed.clear_options()
        listed.add_options(
            [Option(chat.title or f"conversation {chat.key}", str(chat.key)) for chat in chats]
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if not self._is_busy():
            self._read(event.option.id or "")

    def _read(self, key: str) -> None:
        """Open a stored conversation."""
        self.background(lambda: stored_chat(key), lambda found: self._open(*found), "conversation")

    async def _open(self, chat: Chat | None, messages: list[ChatMessage]) -> None:
        """Show a conversation, or an empty one."""
        if self._reply:
            return  # the person has asked something since
        self._chat, self._messages, self._view, self._sure = chat, messages, None, None
        self._edit(None)
        self.query_one(Panel).show(
            chat.system if chat else "",
            chat.sampling if chat else None,
            chat.control if chat else ThinkingControl(),
        )
        shown = self.query_one(ConversationView)
        if not await shown.open(messages):
            return
        if not messages:
            await shown.mount(Static(id="welcome", markup=False))
            self._welcome()
        elif isinstance(shown.children[-1], ReplyView):
            self._view = shown.children[-1]
        self.query_one(PromptInput).focus()

    # -- actions

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Letters are keys only while nothing is written."""
        own = {key.action for key in keys.TABLE[self.GROUP]}
        return action not in own or not isinstance(self.focused, (PromptInput,))

    def leave(self) -> None:
        """Stop the reply; else leave the field; else undo the edit of the last message."""
        if self.stop_work():
            return
        if self._replace_from is not None and not isinstance(self.focused, PromptInput):
            self.query_one(PromptInput).text = ""
            self._read_again()
        self.query_one("#messages").focus()
        self.refresh_bindings()

    def stop_work(self) -> bool:
        return self.work.stop()

    def action_stop(self) -> None:
        self.stop_work()

    def action_write(self) -> None:
        self.query_one(PromptInput).focus()

    async def action_new(self) -> None:
        if not self._is_busy():
            await self._open(None, [])

    def on_prompt_input_edit_last(self) -> None:
        self.action_edit()

    def action_edit(self) -> None:
        """Take the last message back into the prompt; what is sent then takes its place."""
        last = next((one for one in reversed(self._messages) if one.role == "user"), None)
        if last is None or self._is_busy():
            return
        self._edit(last.key)
        prompt = self.query_one(PromptInput)
        prompt.text = last.text
        prompt.move_cursor(prompt.document.end)
        prompt.focus()
        self._messages = [one for one in self._messages if one.key < last.key]
        self._take_off(self.query_one(ConversationView).last_exchange())

    def action_again(self) -> None:
        """Another reply to the last message, or the first one to a message that got none."""
        if not self._messages or self._replace_from is not None or not (settings := self._ready()):
            return
        if self._messages[-1].role == "assistant":
            self._replace_from = self._messages.pop().key
        self._take_off(self.query_one(ConversationView).last_exchange()[1:])
        self._send("", *settings)

    def _edit(self, key: int | None) -> None:
        """The next message replaces this one and all after it."""
        self._replace_from = key
        back = self.program.key("app.leave")
        title = "" if key is None else f"in place of the last message · {back} twice keeps that"
        self.query_one(PromptInput).border_title = Content(title)

    def _read_again(self) -> None:
        """Show the conversation as it is stored."""
        if self._chat:
            self._read(str(self._chat.key))

    def _take_off(self, views: list[Widget]) -> None:
        for view in views:
            view.remove()
        self._view = None

    def action_copy(self) -> None:
        if self._view and self._view.text:
            self.app.copy_to_clipboard(self._view.text)
            self.notify("Copied the reply.", timeout=2)
        else:
            self.notify("No reply to copy yet.", timeout=2)

    def action_copy_code(self) -> None:
        if self._view and (code := self._view.code):
            self.app.copy_to_clipboard(code[-1])
            self.notify("Copied the last block of code.", timeout=2)
        else:
            self.notify("No code in the last reply.", timeout=2)

    def action_thinking(self) -> None:
        if self._view:
            self._view.toggle_thinking()

    def action_panel(self) -> None:
        self.query_one(Panel).toggle_class("-open")

    def action_list(self) -> None:
        listed = self.query_one("#chats")
        listed.toggle_class("-open")
        if listed.has_class("-open"):
            listed.focus()

    def action_export(self) -> None:
        if self._chat is None:
            self.notify("Nothing to export yet.", timeout=3)
            return
        path = Path(f"localrl-chat-{self._chat.key}.md").absolute()
        try:
            export(self._chat, self._messages, path)
        except StoreError as error:
            self.program.tell_error(error, "export")
        else:
            self.notify(f"Wrote {path}", markup=False)

    async def action_remove(self) -> None:
        """Delete the conversation when the key is pressed twice."""
        chat = self._chat
        if chat is None or self._is_busy():
            return
        if self._sure != chat.key:
            self._sure = chat.key
            key = self.program.key("chat.remove")
            self.notify(f"Press {key} again to delete this conversation.", timeout=5, markup=False)
            return

        await self._open(None, [])
        self.background(lambda: remove_chat(chat), lambda _: self._list(), "delete")
