"""What a run tells others: a broker (MQTT), a web address (webhook), a file (event log), Prometheus.

Each part runs in a thread of its own, holds what it could not hand over yet in a queue with an end, and never ends or
delays the run.
"""
