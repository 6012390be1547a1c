"""The county's desk: pages for clerks, supervisors and finance officers, made on the server.

Every task works without JavaScript. A page holds no SQL and no rule: the rooms below answer and refuse.
"""
