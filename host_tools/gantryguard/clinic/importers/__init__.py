"""Reads real data: dose reports, CT image headers, the NLST parameters and CSV files, into rows of scan commands.

Every reader takes one file and gives what it holds: an event found, or one left out and why. What may be wrong with real
files, and what is done about it, stands at the head of each reader; `docs/data.md` has the whole list.
"""
