"""The dashboard of the model: what it answers, how surely, in which versions, and drift."""

from deploy.monitoring.panels import Panel

TOLD = "What the model answers, and whether that changes. Drift of inputs: python -m stages.drift."
RATE = "[$__rate_interval]"

ROWS = {
    "Versions": [
        Panel(
            "Versions served",
            "Processes by bundle version: the md5 that dvc.lock holds for it.",
            "short",
            {
                "{{variant}} {{model_version}}": "sum by (variant, model_version) "
                '(model_info{job="fastapi"})'
            },
            kind="stat",
        ),
        Panel(
            "Age",
            "Since when the version is served; red from 30 days.",
            "s",
            {"{{model_version}}": "time() - model:first_served:timestamp_seconds"},
            kind="stat",
            limit=30 * 86400,
        ),
        Panel(
            "Trained on synthetic products",
            "1 if the bundle comes from the generated sample: not for production.",
            "short",
            {"{{model_version}}": 'max by (model_version) (model_info{synthetic="true"})'},
            kind="stat",
            limit=1,
        ),
        Panel(
            "Predictions by variant and version",
            "How traffic is shared between champion and challenger, and through an upgrade.",
            "reqps",
            {"{{variant}} {{model_version}}": "model:predictions:rate5m"},
            width=12,
        ),
        Panel(
            "Confidence by variant",
            "Mean probability of the predicted code, over the hour and over the week.",
            "percentunit",
            {
                "{{variant}}, 1 h": "model:confidence:mean1h",
                "{{variant}}, 7 d": "model:confidence:mean7d",
            },
            maximum=1,
            width=12,
        ),
    ],
    "Answers": [
        Panel(
            "Predictions by code",
            "Codes of the product types, per second.",
            "reqps",
            {"{{code}}": f'sum by (code) (rate(predictions_total{{job="fastapi"}}{RATE}))'},
        ),
        Panel(
            "Confidence",
            "Half of the answers are below p50, one in ten below p10.",
            "percentunit",
            {
                f"p{percent}": f"histogram_quantile({percent / 100}, sum by (le) "
                f'(rate(prediction_confidence_bucket{{job="fastapi"}}{RATE})))'
                for percent in (10, 50, 90)
            },
            maximum=1,
        ),
        Panel(
            "Doubtful answers",
            "Share of answers with a confidence of 0.5 or less: work for a person.",
            "percentunit",
            {
                "doubtful": "sum(rate("
                f'prediction_confidence_bucket{{job="fastapi", le="0.5"}}{RATE}))'
                f' / sum(rate(prediction_confidence_count{{job="fastapi"}}{RATE}))'
            },
            maximum=1,
        ),
    ],
    "Drift": [
        Panel(
            "Stability index of the codes",
            "How far today's shares of the codes are from the week's; 0.25 starts a retraining.",
            "short",
            {"today against the week": "model:code:stability_index"},
        ),
        Panel(
            "Share of each code, today",
            "Of the predictions of the last day.",
            "percentunit",
            {"{{code}}": "model:code:share1d"},
            maximum=1,
        ),
        Panel(
            "Products without an image or a text",
            "Share of the predictions.",
            "percentunit",
            {
                "without {{modality}}": "sum by (modality) "
                f'(rate(missing_modality_total{{job="fastapi"}}{RATE})) '
                f'/ scalar(sum(rate(predictions_total{{job="fastapi"}}{RATE})))'
            },
        ),
    ],
}
