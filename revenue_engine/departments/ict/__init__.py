"""The ICT directorate: connected offices, service credits, support requests."""
