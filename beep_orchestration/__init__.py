"""Durable knowledge-extraction workflows on Dagster and PostgreSQL.

Reading order: `jobs` (the workflow), `ops` (its stages), `extraction.pipeline` (what they compute), `activities` and
`commits` (how each activity is recorded once), `claims` (who may record), `tables` (where), `sensors` (how what a
dead process could not write is repaired), `service` (how programs start, ask, signal and cancel), `cli`.
"""
