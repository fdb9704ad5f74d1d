"""The field uploader, `varanger-field`: brings a folder to a gateway over a link that may go at any moment."""
