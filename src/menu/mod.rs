//! Response codes and the matcher that turns keys into verdicts.
