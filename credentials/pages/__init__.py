"""What people see of records: verifying, holding, sharing, preparing, approving and managing them.

One module a concept, each with `routes(deps)`: `verify_pages` (anyone), `verify_api` (programs), `wallet_pages` and
`share_pages` (holders), `batch_pages` (registrars and approvers), `record_pages` (one issued record). The handlers parse
what was typed, call one service and choose a template; they decide nothing the services decide. What a service refuses
comes back to the field it is about, with everything typed still there.

Refused here: text that is not in the catalogues, scripts inside a page, an act that binds without a page before it that
says what it will do, and any knowledge of databases, settings or the frame around a page (`render.py` is all there is).
"""
