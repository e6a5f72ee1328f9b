"""What the watch API and the testing API share: routes as values, their validation, errors, and OpenAPI documents."""
