"""Child processes: started without secrets, asked over a socket, supervised."""
