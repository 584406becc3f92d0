//! Notes in Markdown.

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Markdown as HTML; HTML that stands in it stays text.
pub fn markdown(text: &str) -> String {
    let mut is_shown = false;
    let events = Parser::new_ext(text, Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        // The page has its own first and second level.
        Event::Start(Tag::Heading { level, id, classes, attrs }) => {
            Event::Start(Tag::Heading { level: below(level), id, classes, attrs })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            let dest_url = if leads_somewhere(&dest_url) { dest_url } else { "".into() };
            Event::Start(Tag::Link { link_type, dest_url, title, id })
        }
        // A page that asks others for pictures tells them who reads it: the text that stands for it is shown instead.
        Event::Start(Tag::Image { ref dest_url, .. }) => {
            is_shown = dest_url.starts_with("data:image/");
            if is_shown { event } else { Event::Start(Tag::Emphasis) }
        }
        Event::End(TagEnd::Image) if !is_shown => Event::End(TagEnd::Emphasis),
        other => other,
    });
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

/// Whether a link leads to another page, and does nothing else.
fn leads_somewhere(url: &str) -> bool {
    let scheme = url.split(['/', '?', '#']).next().and_then(|start| start.split_once(':')).map(|(scheme, _)| scheme);
    scheme.is_none_or(|scheme| ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H2,
        _ => HeadingLevel::H3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_notes_runs_or_asks_others() {
        let html = markdown(
            "# A\n[a](javascript:alert(1)) [b](JaVaScRiPt:x) [c](data:text/html,x) [d](https://d.org/x?y#z) [e](notes.html) \
             [f](vbscript:x)\n\n![the *alt*](https://tracker.org/x.png) ![kept](data:image/png;base64,AA==)\n\n<script>x</script>",
        );
        for bad in ["javascript", "JaVaScRiPt", "data:text", "vbscript", "tracker.org", "<script"] {
            assert!(!html.contains(bad), "{bad} in {html}");
        }
        for good in [
            "href=\"https://d.org/x?y#z\"",
            "href=\"notes.html\"",
            "<em>the",
            "src=\"data:image/png;base64,AA==\"",
            "<h2>A",
        ] {
            assert!(html.contains(good), "{good} not in {html}");
        }
    }
}
