//! The demo's configuration and prompts, written into its folder.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use anyhow::anyhow;

use crate::config;
use crate::config::Checked;
use crate::engine::Rooms;

/// The prompts, so that the program needs no file beside it.
const PROMPTS: [(&str, &[u8]); 6] = [
    ("goodbye", include_bytes!("../../../audio/en/goodbye.wav")),
    ("optout-already", include_bytes!("../../../audio/en/optout-already.wav")),
    ("optout-ask", include_bytes!("../../../audio/en/optout-ask.wav")),
    ("optout-done", include_bytes!("../../../audio/en/optout-done.wav")),
    ("optout-failed", include_bytes!("../../../audio/en/optout-failed.wav")),
    ("welcome", include_bytes!("../../../audio/en/welcome.wav")),
];

/// The demo's configuration.
#[derive(Debug)]
pub(super) struct Setting {
    /// Its folder.
    pub(super) config: PathBuf,
    /// What stands in it.
    pub(super) checked: Checked,
}

/// Writes configuration and prompts below `folder`, with a trunk towards `carrier`, and checks
/// them as `bajavoz run` does.
pub(super) fn write(folder: &Path, carrier: SocketAddr) -> Result<Setting> {
    let audio = folder.join("audio/en");
    std::fs::create_dir_all(&audio).context("the folder of the prompts")?;
    for (name, wav) in PROMPTS {
        std::fs::write(audio.join(format!("{name}.wav")), wav).context("a prompt")?;
    }
    let config = folder.join("config");
    std::fs::create_dir_all(&config).context("the folder of the configuration")?;
    std::fs::write(config.join("bajavoz.toml"), text(carrier)).context("the configuration")?;
    let checked = config::load(&config, &Rooms).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow!("the demo's own configuration is wrong:\n{}", faults.join("\n"))
    })?;
    Ok(Setting { config, checked })
}

fn text(carrier: SocketAddr) -> String {
    format!(
        r#"
[node]
name = "demo"
default-region = "ES"
language = "en"

[listen.loopback]
bind = "127.0.0.1:0"

[trunks.carrier]
host = "{carrier}"
max-channels = 10
codecs = ["PCMU"]

[dialers.dialer]
allow = ["127.0.0.1/32"]
max-channels = 10

[lists.comercial]
title = "Commercial calls"
scope = "account"

[store]
path = "../data"

[http]
bind = "127.0.0.1:0"

[campaigns.demo-ivr]
title = "Demo, answered by the engine"
account = "demo"
mode = "ivr"
check = ["comercial"]
[campaigns.demo-ivr.match]
dialer = ["dialer"]
header."X-Campaign-ID" = ["demo-ivr"]
[campaigns.demo-ivr.greeting]
play = ["welcome"]
[campaigns.demo-ivr.codes."9"]
add-to = ["comercial"]

[campaigns.demo-bridge]
title = "Demo, bridged"
account = "demo"
mode = "bridge"
route = ["carrier"]
check = ["comercial"]
[campaigns.demo-bridge.match]
header."X-Campaign-ID" = ["demo-bridge"]
[campaigns.demo-bridge.codes."9"]
add-to = ["comercial"]
"#
    )
}
