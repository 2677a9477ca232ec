"""The groups of the routes, in the order of the documentation pages."""

TAGS = [
    {"name": "embeddings", "description": "Embed images and texts, in the schema of the Azure endpoint and of MLflow."},
    {
        "name": "classification",
        "description": "Score images by labels in words or by loaded heads, and compare images and texts.",
    },
    {"name": "images", "description": "See the picture that the image encoder gets of a file."},
    {"name": "OpenAI", "description": "Embeddings in OpenAI's schema, for its clients and for LangChain."},
    {"name": "Cohere", "description": "Embeddings in Cohere's schema, which MedImageInsight Premium has too."},
    {"name": "lion-ai", "description": "The schema of lion-ai's MedImageInsights wrapper."},
    {"name": "operation", "description": "Health, facts about the model and the limits, metrics and version."},
]
