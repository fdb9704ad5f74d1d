"""Use cases: answer classification requests from the queue, answer a folder of images without a server."""
