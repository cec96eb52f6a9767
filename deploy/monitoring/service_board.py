"""The dashboard of the service: requests, faults, latency, inference, access, process."""

from deploy.monitoring.panels import Panel

TOLD = "Is the service answering, how fast, and what holds it up?"
RATE = "[$__rate_interval]"


def _share(percent: int) -> str:
    bucket = f'http_request_duration_seconds_bucket{{job="fastapi", handler=~"/predict.*"}}{RATE}'
    return f"histogram_quantile({percent / 100}, sum by (le) (rate({bucket})))"


ROWS = {
    "Objectives": [
        Panel(
            "Instances up",
            "Processes of the service that answer Prometheus.",
            "short",
            {"{{job}}": 'sum by (job) (up{job=~"fastapi|auth"})'},
            kind="stat",
            width=6,
        ),
        Panel(
            "Faults, 1 h",
            "Share of requests that ended in 5xx. The objective is under 0.5 % over 30 days.",
            "percentunit",
            {"faults": "service:errors:ratio_rate1h"},
            kind="stat",
            limit=0.005,
            width=6,
        ),
        Panel(
            "Slow predictions, 1 h",
            "Share of /predict over 0.25 s. The objective is under 5 % over 30 days.",
            "percentunit",
            {"slow": "service:slow:ratio_rate1h"},
            kind="stat",
            limit=0.05,
            width=6,
        ),
        Panel(
            "Alerts",
            "Alerts that fire, but for the watchdog.",
            "short",
            {"firing": 'count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or vector(0)'},
            kind="stat",
            limit=1,
            width=6,
        ),
        Panel(
            "Budgets of errors",
            "How many times faster than the objective allows; from 14.4 over an hour it pages.",
            "short",
            {
                "faults, 1 h": "service:errors:ratio_rate1h / 0.005",
                "faults, 6 h": "service:errors:ratio_rate6h / 0.005",
                "slow, 1 h": "service:slow:ratio_rate1h / 0.05",
                "slow, 6 h": "service:slow:ratio_rate6h / 0.05",
            },
            width=24,
        ),
    ],
    "Requests": [
        Panel(
            "Requests by route",
            "Every request but those of /metrics.",
            "reqps",
            {"{{handler}}": f'sum by (handler) (rate(http_requests_total{{job="fastapi"}}{RATE}))'},
        ),
        Panel(
            "Answers by status",
            "4xx are the caller's, 5xx the service's; 429 is a limit.",
            "reqps",
            {"{{status}}": f'sum by (status) (rate(http_requests_total{{job="fastapi"}}{RATE}))'},
        ),
        Panel(
            "Latency of /predict",
            "With the reading of the request and the keeping of the answer.",
            "s",
            {"p50": _share(50), "p95": _share(95), "p99": _share(99)},
        ),
        Panel(
            "Requests in flight",
            "Being answered now; reading this is one of them. The autoscaler goes by it.",
            "short",
            {"{{instance}}": 'requests_in_flight{job="fastapi"}'},
        ),
        Panel(
            "Inputs refused",
            "By reason: unreadable images, unknown content types, missing fields.",
            "reqps",
            {"{{reason}}": f'sum by (reason) (rate(rejected_inputs_total{{job="fastapi"}}{RATE}))'},
        ),
        Panel(
            "Sign-in and access refused",
            "Requests for tokens that were refused, and requests without a valid token.",
            "reqps",
            {"/token": "service:token_refusals:rate5m", "others": "service:unauthorised:rate5m"},
        ),
    ],
    "Inference and process": [
        Panel(
            "Inference",
            "Decoding, tokenising and running the model, for one product.",
            "s",
            {
                "p50": "histogram_quantile(0.5, sum by (le) "
                f'(rate(inference_seconds_bucket{{job="fastapi"}}{RATE})))',
                "p95": "histogram_quantile(0.95, sum by (le) "
                f'(rate(inference_seconds_bucket{{job="fastapi"}}{RATE})))',
            },
        ),
        Panel(
            "Waiting for a thread",
            "Over 0.5 s for one in twenty, more threads or replicas are needed.",
            "s",
            {"p95": "service:queue_seconds:p95_5m"},
        ),
        Panel(
            "Processor",
            "Cores that each process keeps busy.",
            "short",
            {
                "{{job}} {{instance}}": "sum by (job, instance) "
                f'(rate(process_cpu_seconds_total{{job=~"fastapi|auth"}}{RATE}))'
            },
        ),
        Panel(
            "Memory",
            "Resident, by process.",
            "bytes",
            {"{{job}} {{instance}}": 'process_resident_memory_bytes{job=~"fastapi|auth"}'},
        ),
        Panel(
            "File descriptors",
            "Connections and files, as a share of what a process may have.",
            "percentunit",
            {
                "{{job}} {{instance}}": 'process_open_fds{job=~"fastapi|auth"} '
                '/ process_max_fds{job=~"fastapi|auth"}'
            },
            maximum=1,
        ),
        Panel(
            "Collections of garbage",
            "By generation; each stops the process for a moment.",
            "ops",
            {
                "generation {{generation}}": "sum by (generation) "
                f'(rate(python_gc_collections_total{{job="fastapi"}}{RATE}))'
            },
        ),
    ],
}
