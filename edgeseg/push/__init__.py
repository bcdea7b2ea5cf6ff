"""Pushing the overlay to servers: RTSP, RTMP, SRT, UDP.

The network side runs in a process of its own (carrier.py). PyAV holds Python's lock while libavformat connects, shakes
hands and says good-bye: measured, a server that accepts a connection and says nothing stopped every thread of the
program for as long as it liked. A process can be left behind, or killed, at any time.
"""
