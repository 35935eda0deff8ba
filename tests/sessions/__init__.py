"""What a session does, against real servers."""
