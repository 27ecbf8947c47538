"""The pages of sign-in: templates, and the shape of the function that renders them.

Owns: what a person reads while signing in, allowing a platform, signing out, and looking after sessions. Refuses:
script, style and text that is not in the catalogues.
"""
