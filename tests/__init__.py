"""The suite: real servers, no mocks of our own code."""
