"""What a study is: its file, its factors, its questions and claims; and runs as one study, arm by arm."""
