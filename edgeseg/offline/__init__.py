"""`edgeseg process`: recorded files, as fast as the machine goes, every frame, continued where it was interrupted."""

from edgeseg.offline.job import Choices, OfflineJob, Report

__all__ = ["Choices", "OfflineJob", "Report"]
