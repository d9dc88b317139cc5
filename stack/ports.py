"""The ports of everything in the local stack."""

from dataclasses import dataclass, fields

from stack.running import free_port


@dataclass
class Ports:
    """The ports, on 127.0.0.1."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    collector_health: int = 13233
    collector_metrics: int = 8888
    scraped: int = 9464
    jaeger_otlp: int = 14317
    jaeger_query: int = 16686
    jaeger_grpc: int = 16685
    jaeger_health: int = 13133
    prometheus: int = 9090
    logs: int = 9428
    downstream: int = 8900
    downstream_tls: int = 8943
    downstream_control: int = 8901
    caddy: int = 8950
    caddy_tls: int = 8953
    healthy: int = 8911
    sick: int = 8912

    @classmethod
    def any(cls) -> "Ports":
        return cls(**{field.name: free_port() for field in fields(cls)})

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{getattr(self, name)}"
