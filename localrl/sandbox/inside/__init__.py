"""What runs inside the sandbox: the standard library only, nothing of localrl, so that this folder is enough.

`start.py` is the command; it sets the limits, then becomes the program. Nothing here decides a verdict.
"""
