"""Queues: what they hold, how work is handed out, and the figures they keep."""
