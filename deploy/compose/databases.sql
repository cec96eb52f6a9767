-- Run once, by the image of PostgreSQL, on an empty volume: databases of their own beside the service's.
CREATE DATABASE mlflow;
CREATE DATABASE airflow;
