"""Destruction of data (PSSI 3.1.4), seen from the control node: who agreed, what is backed up, the intervention sheet.

What may be erased, and how, is decided on the host that holds the medium (roles/data_destruction/files).
"""
