"""From an HTTP request to what the routes work with: form, JSON, audio source, and the streamed answer."""
