"""Labelling sessions: label objects of images, and see all others classified. Nothing here needs a window."""

from objclass.session.session import Session as Session
