"""The dashboard of the machine, by node exporter."""

from deploy.monitoring.panels import Panel

TOLD = "Processor, memory, disk and network of the machines."
RATE = "[$__rate_interval]"
NETWORK = f'{{job="node", device!="lo"}}{RATE}'

ROWS = {
    "Processor and memory": [
        Panel(
            "Processor",
            "Share of the time that the processors are busy.",
            "percentunit",
            {"{{instance}}": "node:cpu:busy_ratio5m"},
            maximum=1,
        ),
        Panel(
            "Load",
            "Processes that run or wait, over one and fifteen minutes.",
            "short",
            {
                "{{instance}}, 1 min": 'node_load1{job="node"}',
                "{{instance}}, 15 min": 'node_load15{job="node"}',
            },
        ),
        Panel(
            "Memory",
            "Active is what was used lately; available is what a new process could have.",
            "bytes",
            {
                "active": 'node_memory_Active_bytes{job="node"}',
                "available": 'node_memory_MemAvailable_bytes{job="node"}',
                "all": 'node_memory_MemTotal_bytes{job="node"}',
            },
        ),
    ],
    "Disk and network": [
        Panel(
            "Disk left",
            "Share of each file system; it pages below 10 %.",
            "percentunit",
            {"{{instance}} {{mountpoint}}": "node:disk:free_ratio"},
            maximum=1,
        ),
        Panel(
            "Disk traffic",
            "Read and written.",
            "Bps",
            {
                "read": f'sum by (instance) (rate(node_disk_read_bytes_total{{job="node"}}{RATE}))',
                "written": "sum by (instance) "
                f'(rate(node_disk_written_bytes_total{{job="node"}}{RATE}))',
            },
        ),
        Panel(
            "Network",
            "Without the loopback.",
            "Bps",
            {
                "received": f"sum by (instance) (rate(node_network_receive_bytes_total{NETWORK}))",
                "sent": f"sum by (instance) (rate(node_network_transmit_bytes_total{NETWORK}))",
            },
        ),
    ],
}
