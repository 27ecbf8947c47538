"""The forms a record travels in: SD-JWT (RFC 9901) and the sealed PDF.

Each form is parsed once, strictly, into frozen values. A form knows nothing of stores, people or the log; it refuses any
input that has a second meaning or a second encoding.
"""
