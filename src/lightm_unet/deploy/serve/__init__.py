"""`serve`: trained models behind an HTTP interface, for programs and for the page.

protocol, request_log, linger, access    what every request passes, outermost first
app                                      the addresses, and what each answers
upload -> file_kind, archive             a request's body to files of our own names
workers -> segment -> answer             a place in the queue, the work, the answer
models, spool, metrics, problems         what they share
server                                   all of it on a port, until it is stopped
"""
