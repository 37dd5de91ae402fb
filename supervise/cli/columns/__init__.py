"""`supervise columns`: a log of JSON records with one column for each actor, in the order of time.

`command.py` says what is shown, `log.py` and `growing.py` read it, `table.py` lays it out for a terminal, `page.py` for a
browser.
"""
