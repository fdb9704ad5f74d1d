"""What a file is, what it says and how it is called. Pure: no files, no threads, no stores."""
