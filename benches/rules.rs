//! What the pure rules cost on the way of every request: the raw head, the canonical form, what is
//! stripped, the route.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use guarita_core::http::head::{find_end, inspect};
use guarita_core::http::{
    CanonicalRequest, Credentials, HeadLimits, IdentityHeaders, PreservedHeaders, ProviderCookies,
    RawRequest, StrippedHeaders,
};
use guarita_core::route::{HostPattern, Matcher, PathPattern, RouteTable};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

const FIELDS: &[(&str, &str)] = &[
    ("Host", "app.example.test"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0 Safari/537.36"),
    ("Accept", "application/json, text/plain, */*"),
    ("Accept-Language", "pt-BR,pt;q=0.9,en;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    (
        "Authorization",
        "Bearer eyJhbGciOiJSUzI1NiIsImtpZCI6ImEifQ.eyJzdWIiOiJhbGljZSIsImlzcyI6Im1zLWF1dGgifQ.c2ln",
    ),
    ("Content-Type", "application/json"),
    ("Content-Length", "27"),
    ("X-Request-Id", "01932c07-7f0c-7d5e-8a00-0123456789ab"),
    ("Referer", "https://app.example.test/orders"),
    ("Connection", "keep-alive"),
];

fn bench_head(criterion: &mut Criterion) {
    let fields: String =
        FIELDS.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head =
        format!("POST /orders/4711/items?expand=lines HTTP/1.1\r\n{fields}\r\n").into_bytes();
    let limits = HeadLimits { bytes: 32 * 1024, fields: 100, target: 8 * 1024 };
    let mut group = criterion.benchmark_group("head");
    group.throughput(Throughput::Bytes(head.len() as u64));
    group.bench_function("find_end", |bencher| bencher.iter(|| find_end(black_box(&head), 0)));
    group.bench_function("inspect", |bencher| bencher.iter(|| inspect(black_box(&head), &limits)));
    group.finish();
}

fn headers() -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value);
        name.ok().zip(value.ok())
    };
    FIELDS.iter().filter_map(field).collect()
}

fn bench_fields(criterion: &mut Criterion) {
    let headers = headers();
    let names = IdentityHeaders::default();
    let families = StrippedHeaders::new(names.names().map(HeaderName::as_str));
    let mut group = criterion.benchmark_group("fields");
    group.bench_function("families", |bencher| {
        bencher.iter(|| {
            let headers = black_box(&headers);
            let sieve = families.sieve(headers, PreservedHeaders::default());
            headers.keys().filter(|name| sieve.strips(name)).count()
        });
    });
    let cookies = ProviderCookies::default();
    group.bench_function("candidates", |bencher| {
        bencher.iter(|| Credentials::read(black_box(&headers), &cookies).iter().count());
    });
    group.finish();
}

fn bench_canonical(criterion: &mut Criterion) {
    let headers = headers();
    let mut group = criterion.benchmark_group("canonical");
    let targets = [
        ("usual", "/orders/4711/items?expand=lines"),
        ("encoded", "/orders/caf%c3%a9/%7Euser?expand=lines"),
    ];
    for (name, target) in targets {
        let parsed = PathAndQuery::from_static(target);
        let arrived = RawRequest {
            version: Version::HTTP_11,
            method: &Method::GET,
            target: target.as_bytes(),
            authority: None,
            headers: &headers,
        };
        group.bench_function(name, |bencher| {
            bencher.iter(|| CanonicalRequest::parse_shared(black_box(&arrived), Some(&parsed)));
        });
    }
    group.finish();
}

/// Half the routes are literal, half have a name and the rest; one in ten names its host.
fn table(routes: usize) -> Option<RouteTable<usize>> {
    let route = |number: usize| {
        let service = number / 2;
        let path = match number % 2 {
            0 => format!("/service-{service}/{{id}}/items/{{*rest}}"),
            _ => format!("/service-{service}/health"),
        };
        let hosts =
            if number % 10 == 9 { vec![format!("h{service}.example.test")] } else { vec![] };
        Some((
            Matcher {
                hosts: hosts.iter().filter_map(|host| HostPattern::parse(host).ok()).collect(),
                path: PathPattern::parse(&path).ok()?,
                methods: vec![Method::GET, Method::POST],
            },
            number,
        ))
    };
    RouteTable::build((0..routes).filter_map(route).collect()).ok()
}

fn bench_route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for routes in [10, 1_000, 10_000] {
        let Some(table) = table(routes) else { continue };
        let service = routes / 4;
        for (name, path) in [
            ("named", format!("/service-{service}/4711/items/1/lines")),
            ("literal", format!("/service-{service}/health")),
            ("none", format!("/service-{service}/4711/other")),
        ] {
            group.bench_function(BenchmarkId::new(name, routes), |bencher| {
                bencher.iter(|| {
                    table.find(black_box("app.example.test"), black_box(&path), &Method::GET)
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    bench_head(&mut criterion);
    bench_fields(&mut criterion);
    bench_canonical(&mut criterion);
    bench_route(&mut criterion);
    criterion.final_summary();
}
