"""The public conformance plans for OpenID providers, module by module, against the real service over HTTPS.

Owns: what each module asks and expects, written anew from its public description as one test named after it; the list of
plans and modules; which of them are open, and why; the document that says so.

Refuses: a module that is neither tested nor open, a test that knows anything of the service but its addresses, its
clients' registrations and one person's password.
"""
