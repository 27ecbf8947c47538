"""What a signed-in person sees and settles about their own sign-ins: where they are signed in, which platforms may read
what, how they are reached, and their password.

Owns: the list of sign-ins with a way to end one, the others or all; the list of platforms with every scope and a way to
take one or all of it back, at once; the person's own statement of how to reach them; the change of password and the rules
a new one must keep.

Refuses: to show or end anything of another person (a reference that is not one's own is as if unknown), to change
anything by a GET, to change a password for a session alone: whoever sits at an open browser does not know it; to show or
change an address in full without a fresh sign-in.
"""
