"""What people see on every page: base templates, the one style sheet, small scripts, message catalogues.

Owns: `templates/` (the frame `base.html`, the parts every page is put together from, the error page), `src/` (style
sheet and scripts, built by `build.sh` into `static/build` under hashed names), `locale/` (one gettext domain a room),
and their loading: `catalogue.py`, `assets.py`, `render.py`.

Refuses: scripts or styles inside a page, anything fetched from another host, and text that is not in the catalogues of
both languages. What a page says and does belongs to the room whose page it is.
"""
