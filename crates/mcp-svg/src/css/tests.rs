use super::*;

fn style(text: &str) -> (String, usize) {
    let mut account = Account::new(20);
    let out = write_declarations(&declarations(text, &mut account));
    (out, account.into_lines().len())
}

fn styles(text: &str) -> (String, usize) {
    let mut account = Account::new(20);
    let out = write_sheet(&sheet(text, &mut account));
    (out, account.into_lines().len())
}

#[test]
fn what_is_understood_is_written_anew() {
    assert_eq!(
        style(" fill : red ; stroke:url( '#a' ) !important;; "),
        ("fill:red;stroke:url(#a) !important".into(), 0)
    );
    assert_eq!(
        styles("/* x */ .a,g > #b{fill:red}\n[class~='c d'] rect:hover { x:1 }"),
        (
            ".a, g > #b { fill:red }\n[class~=\"c d\"] rect:hover { x:1 }".into(),
            0
        )
    );
}

#[test]
fn what_is_written_is_read_in_the_same_way() {
    let (once, _) = styles("a .b+c,*{font:12px 'A B';fill:url(\"#x\")!important}@media x{a{}}");
    assert_eq!(styles(&once), (once.clone(), 0));
}

#[test]
fn dangerous_declarations_go_and_the_others_stay() {
    for bad in [
        "behavior:url(#x)",
        "-moz-binding:url(#x)",
        "background:url(http://x/y.png)",
        "fill:u\\72l(http://x)",
        "fill:ur/**/l(http://x)",
        "fill:url(http://x)",
        "fill:expression(alert(1))",
        "animation:x 1s",
        "position:fixed",
        "content:'x'",
        "@import 'x'",
        "nothing",
    ] {
        let text = format!("fill:red;{bad};stroke:blue");
        assert_eq!(style(&text), ("fill:red;stroke:blue".into(), 1), "{bad}");
    }
}

#[test]
fn rules_that_load_go_and_the_others_stay() {
    for bad in [
        "@import url(http://x);",
        "@import 'http://x';",
        "@font-face { font-family: x; src: url(http://x) }",
        "@media screen { a { fill: url(http://x) } }",
        "@keyframes k { from { x: 0 } to { x: 1 } }",
        "a { b { fill: red } }",
        "a\\62 { fill: red }",
        "a::before { fill: red }",
        "a:not(b) { fill: red }",
        "[a^='x'] { fill: red }",
        "{ fill: red }",
        "> a { fill: red }",
    ] {
        let text = format!(".a {{ fill:red }}\n{bad}\n.b {{ x:1 }}");
        let (out, noted) = styles(&text);
        assert_eq!(out, ".a { fill:red }\n.b { x:1 }", "{bad}");
        assert_eq!(noted, 1, "{bad}");
    }
}

#[test]
fn quotes_and_brackets_hide_nothing() {
    assert_eq!(style("font-family:'a;b';fill:red").0, "fill:red");
    assert_eq!(styles("a{fill:red").0, "a { fill:red }");
    assert_eq!(
        styles("a{x:'}';y:1}b{fill:red}").0,
        "a { y:1 }\nb { fill:red }"
    );
}
