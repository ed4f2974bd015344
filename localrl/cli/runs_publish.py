"""`localrl runs publish`: write a run as others take it: a bundle, the hub's file, Every Eval Ever's."""

from __future__ import annotations

from pathlib import Path

import click

from localrl import paths
from localrl.cli import arguments
from localrl.cli.output import note
from localrl.errors import UsageError
from localrl.formats import size
from localrl.report import bundle, exports, results
from localrl.store.runs import Store

NEXT = {
    "bundle": "whoever has it checks it with `localrl runs check {file}`",
    "hf": "to show it on a model's page, open a pull request that adds it as .eval_results/{name}",
    "eee": "to add it to Every Eval Ever, follow its contributor guide (evalevalai.com)",
}


@click.command("publish")
@arguments.run(default="last")
@click.option("--to", "place", type=click.Choice(list(NEXT)), default="bundle", show_default=True)
@click.option("--sign", "key", type=click.Path(path_type=Path), help="SSH key to sign a bundle with.")
@click.option("--no-texts", is_flag=True, help="Of a bundle's samples only the root of their hashes.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write.")
def command(run: str, place: str, key: Path | None, no_texts: bool, output: Path) -> None:
    """Write RUN (an id, a name, or 'last') in a file that can be sent; nothing is sent."""
    if place != "bundle" and (key or no_texts):
        raise UsageError("--sign and --no-texts are for --to bundle")
    with Store() as store:
        found = results.find(store, run)
        if place == "bundle":
            with paths.whole_file(output) as out:
                bundle.write(found, out, key=key, texts=not no_texts)
        else:
            exports.export(found, place, output)
    then = NEXT[place].format(file=output, name=output.name)
    note(f"wrote {output} ({size(output.stat().st_size)}); {then}")
