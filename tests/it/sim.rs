//! The simulated server, spoken to over HTTP.

use crate::scratch::{Scratch, http};
use serde_json::{Value, json};

fn post(port: u16, path: &str, body: Value) -> (u16, String) {
    http(port, "POST", path, "", &body.to_string()).unwrap()
}

fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    lines.map(|data| serde_json::from_str(data).unwrap()).collect()
}

#[test]
fn completions_and_chat_are_answered_whole_and_in_streams() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "20"]);
    let (status, body) = post(
        scratch.port,
        "/v1/completions",
        json!({"model": "m", "prompt": "one two three", "max_tokens": 5, "ignore_eos": true}),
    );
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["usage"], json!({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}));
    assert_eq!(answer["choices"][0]["finish_reason"], "length");

    let request = json!({"model": "m", "messages": [{"role": "user", "content": "a b"}, {"role": "user", "content": [{"type": "text", "text": "c"}]}],
        "max_completion_tokens": 4, "ignore_eos": true, "stream": true, "stream_options": {"include_usage": true}});
    let (_, body) = post(scratch.port, "/v1/chat/completions", request);
    let events = events(&body);
    assert_eq!(events.len(), 5);
    assert_eq!(events[0]["object"], "chat.completion.chunk");
    assert!(events[..4].iter().all(|event| event["choices"][0]["delta"]["content"].is_string()));
    assert_eq!(events[4]["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
    assert!(body.contains("data: [DONE]"));

    let (_, body) = post(scratch.port, "/v1/completions", json!({"prompt": [1, 2, 3], "max_tokens": 20}));
    let tokens = serde_json::from_str::<Value>(&body).unwrap()["usage"]["completion_tokens"].as_u64().unwrap();
    assert!((10..=20).contains(&tokens), "without ignore_eos it ends by itself: {tokens}");
}

#[test]
fn bad_requests_are_refused_as_openai_refuses_them() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--max-model-len", "64", "--api-key", "k"]);
    let ask = |key: &str, body: Value| {
        http(scratch.port, "POST", "/v1/completions", &format!("authorization: Bearer {key}\r\n"), &body.to_string())
            .unwrap()
            .0
    };
    assert_eq!(ask("wrong", json!({"prompt": "a"})), 401);
    assert_eq!(ask("k", json!({"prompt": "a", "model": "other"})), 404);
    assert_eq!(ask("k", json!({"prompt": "a", "max_tokens": 64})), 400);
    assert_eq!(ask("k", json!({"no_prompt": "a"})), 400);
    assert_eq!(ask("k", json!({"prompt": "a", "max_tokens": 8})), 200);
    assert_eq!(http(scratch.port, "GET", "/health", "", "").unwrap().0, 200);
    assert_eq!(http(scratch.port, "GET", "/v1/models", "", "").unwrap().0, 401);
}

#[test]
fn metrics_have_vllms_names_and_count() {
    let scratch = Scratch::new();
    let _server = scratch.start_sim(&["--speed", "20"]);
    let request = json!({"prompt": (0..64).collect::<Vec<u32>>(), "max_tokens": 3, "ignore_eos": true});
    post(scratch.port, "/v1/completions", request.clone());
    post(scratch.port, "/v1/completions", request);
    let (_, text) = http(scratch.port, "GET", "/metrics", "", "").unwrap();
    let value = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("vllm:{name}{{")))
            .unwrap_or_else(|| panic!("{name} is not in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((value("prompt_tokens_total"), value("generation_tokens_total")), (128.0, 6.0));
    assert_eq!((value("prefix_cache_queries_total"), value("prefix_cache_hits_total")), (128.0, 63.0));
    assert_eq!(
        (value("num_requests_running"), value("num_requests_waiting"), value("kv_cache_usage_perc")),
        (0.0, 0.0, 0.0)
    );
}

#[test]
fn flags_that_are_not_modelled_are_refused() {
    let scratch = Scratch::new();
    let ran = scratch.run(&["sim", "m", "--enforce-eager"]);
    assert!(ran.code == Some(2) && ran.stderr.contains("--enforce-eager"), "{}", ran.stderr);
    let ran = scratch.run(&["sim", "m", "--num-gpu-blocks-override", "10"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("KV cache blocks are needed"), "{}", ran.stderr);
    assert_eq!(scratch.run(&["sim", "m", "--fault-exit-at-start", "9"]).code, Some(9));
    let _server = scratch.start_sim(&[]);
    let ran = scratch.run(&["sim", "m", "--port", &scratch.port.to_string()]);
    assert!(ran.code == Some(1) && ran.stderr.contains("Errno 98"), "{}", ran.stderr);
}
