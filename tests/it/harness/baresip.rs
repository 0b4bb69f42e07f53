//! baresip, a telephone that is not ours, with its keypad on a socket and its ear in a file.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::ops::Range;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use super::ports;
use super::process::Process;
use super::site::Site;
use super::wait_for;

/// Debian's package of baresip.
const PACKAGE: &str = "baresip-core";

/// Where Debian puts the modules, by machine and without.
const MODULES: [&str; 2] =
    ["/usr/lib/baresip/modules", "/usr/lib/x86_64-linux-gnu/baresip/modules"];

/// How long baresip may take for what it is asked.
const PATIENCE: Duration = Duration::from_secs(20);

/// A telephone.
#[derive(Debug)]
pub(crate) struct Baresip {
    process: Process,
    folder: PathBuf,
    keypad: TcpStream,
    sip: SocketAddr,
    ports: Range<u16>,
}

impl Baresip {
    /// A telephone whose user is `user`, at `sip` where given; `answers` calls by itself.
    pub(crate) fn start(site: &Site, user: &str, sip: Option<SocketAddr>, answers: bool) -> Self {
        let folder = site.folder().join(format!("baresip-{user}"));
        std::fs::create_dir(&folder).expect("a folder for baresip");
        let first = ports::block(100);
        // It takes the port after its SIP port too.
        let sip = sip.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], first)));
        let keypad = SocketAddr::from(([127, 0, 0, 1], first + 2));
        let modules = MODULES.iter().find(|path| std::path::Path::new(path).exists());
        let modules = modules.unwrap_or(&MODULES[0]);
        let path = folder.display();
        let text = format!(
            "poll_method epoll\nsip_listen {sip}\nnet_interface 127.0.0.1\ncall_max_calls 4\n\
             audio_player aubridge,nil\naudio_source aufile,{path}/quiet.wav\n\
             audio_alert aubridge,nil\nausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\n\
             auplay_channels 1\nrtp_ports {}-{}\njitter_buffer_delay 1-5\nrtp_stats yes\n\
             module_path {modules}\nmodule cons.so\nmodule g711.so\nmodule sndfile.so\n\
             module aufile.so\nmodule aubridge.so\nmodule_tmp account.so\nmodule_app menu.so\n\
             cons_listen {keypad}\nsnd_path {path}\n",
            first + 10,
            first + 90,
        );
        let mode = if answers { "auto" } else { "manual" };
        let account = format!(
            "<sip:{user}@{sip};transport=udp>;regint=0;audio_codecs=PCMU/8000/1;\
             answermode={mode};dtmfmode=rtpevent\n"
        );
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text);
        write("config", &text).expect("baresip's configuration");
        write("accounts", &account).expect("baresip's account");
        write("contacts", "").expect("baresip's contacts");
        write_quiet(folder.join("quiet.wav"));
        let out = File::create(folder.join("out")).expect("a file for what baresip says");
        let mut command = Command::new("baresip");
        command.args(["-4", "-v", "-f"]).arg(&folder).stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a file")).stderr(out);
        let process = Process::start(&mut command, Some(PACKAGE));
        let keypad = wait_for("baresip's console", PATIENCE, || TcpStream::connect(keypad).ok());
        let phone = Self { process, folder, keypad, sip, ports: first..first + 100 };
        phone.wait_until_it_says("baresip is ready");
        phone
    }

    /// Its ports, of SIP where it was not given one, and of RTP.
    pub(crate) fn ports(&self) -> Range<u16> {
        self.ports.clone()
    }

    /// Where it speaks SIP.
    pub(crate) fn sip(&self) -> SocketAddr {
        self.sip
    }

    /// Types at its console.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keypad.write_all(keys.as_bytes()).expect("baresip reads its keypad");
    }

    /// Everything that it has said.
    pub(crate) fn said(&self) -> String {
        let bytes = std::fs::read(self.folder.join("out")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has said `words`.
    pub(crate) fn wait_until_it_says(&self, words: &str) {
        let said = super::wait_up_to(PATIENCE, || self.said().contains(words).then_some(()));
        assert!(said.is_some(), "baresip never said `{words}`:\n{}", self.said());
    }

    /// Waits until it has heard so much of its call.
    pub(crate) fn wait_until_it_heard(&self, sound: Duration) {
        let octets = 44 + sound.as_millis() as u64 * 16;
        wait_for("baresip hears the call", PATIENCE, || {
            let heard = std::fs::metadata(self.ear()?).ok()?;
            (heard.len() > octets).then_some(())
        });
    }

    /// What it heard in its only call, at 8000 Hz.
    pub(crate) fn heard(&mut self) -> Vec<i16> {
        // The file is complete when its writer is gone.
        self.process.terminate();
        self.process.wait(PATIENCE).expect("baresip ends when told to");
        let file = self.ear().expect("baresip has heard something");
        let mut wav = hound::WavReader::open(file).expect("a WAV file");
        wav.samples().collect::<Result<_, _>>().expect("16-bit samples")
    }

    fn ear(&self) -> Option<PathBuf> {
        let files = std::fs::read_dir(&self.folder).ok()?;
        let mut names = files.filter_map(|file| Some(file.ok()?.path()));
        names.find(|path| path.to_string_lossy().ends_with("-dec.wav"))
    }
}

/// A minute of a quiet line, made by sox.
fn write_quiet(file: PathBuf) {
    let mut sox = Command::new("sox");
    sox.args(["-R", "-n", "-r", "8000", "-c", "1", "-b", "16"]).arg(file);
    super::process::output(sox.args(["synth", "60", "whitenoise", "vol", "0.002"]), Some("sox"));
}
