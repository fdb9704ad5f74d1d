"""Where views are: ingest writes them, and whoever asks for an answer must name them."""


def frame_view_key(view_key: str, frame_number: int) -> str:
    """The view of one frame of a video whose own view (its poster) is `view_key`, as `views/p/<media id>.jpg`."""
    return f"{view_key.removesuffix('.jpg')}.frames/{frame_number:06d}.jpg"
