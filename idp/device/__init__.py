"""The device authorization grant (RFC 8628): a device that shows a short code, a person who types it elsewhere.

Owns: `/device_authorization`, the user code and the limits on guessing it, the pages on which a person says yes or no to a
device, and what a device is told when it asks again. The yes itself is an ordinary sign-in and an ordinary consent, which
`idp.login` runs; the tokens are made by `idp.token`, from the same grant a code stands for.

Refuses: an approval without the consent page, whatever was allowed before (KC #26100); an address that approves by being
opened, with or without the code in it (§3.3.1); a user code of another form, a second answer to one code, a second
redemption of one device code, a device that asks more often than it was told.
"""
