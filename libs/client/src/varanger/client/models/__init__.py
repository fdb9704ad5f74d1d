"""What the calls give back: frozen dataclasses, named as docs/schemas/openapi.json names them."""
