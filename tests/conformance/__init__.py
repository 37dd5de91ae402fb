"""Supervision compared with what Erlang/OTP's supervisor did, as recorded in `scenarios/`.

python -m tests.conformance [--subject machine|runtime] [--backend asyncio|trio|both] [FILE ...]
"""
