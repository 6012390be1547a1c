"""The API that the county's other systems and the desk call: HTTP around functions of the rooms below.

``application.make`` builds it, ``calls`` is the way of one request, ``problems`` lists every refusal.
"""
