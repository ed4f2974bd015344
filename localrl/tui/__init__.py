"""The terminal interface: choose, download, talk, measure and compare in one program.

It holds no logic that the command line lacks; both consume the same event streams. `app` is the program,
`keys` names every key, `work` runs what takes long in threads, `screens` and `widgets` only show it.
"""
