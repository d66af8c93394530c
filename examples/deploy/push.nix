# A NixOS module that uploads whatever this machine builds. A post-build hook
# records the paths and returns at once; one service uploads them, again after a
# failure or a reboot:
#
#   services.nixs3-push = {
#     enable = true;
#     package = nixs3;
#     to = "s3://cache?region=eu-west-1";
#     signWith = "/run/secrets/cache-key";
#     environmentFile = "/run/secrets/nixs3.env"; # AWS_ACCESS_KEY_ID=…
#   };
{ config, lib, pkgs, ... }:

let
  cfg = config.services.nixs3-push;
  queue = "/var/lib/nixs3/queue";
  hook = pkgs.runCommand "post-build-hook" { } ''
    ${cfg.package}/bin/nixs3 hook --queue ${queue} > $out
    chmod +x $out
  '';
in
{
  options.services.nixs3-push = {
    enable = lib.mkEnableOption "uploads of what this machine builds";
    package = lib.mkOption {
      type = lib.types.package;
      description = "The package with bin/nixs3.";
    };
    to = lib.mkOption {
      type = lib.types.str;
      example = "s3://cache?region=eu-west-1";
      description = "The binary cache to upload to.";
    };
    signWith = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "A file with the secret key to sign with.";
    };
    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "A file with credentials, as systemd's EnvironmentFile.";
    };
  };

  config = lib.mkIf cfg.enable {
    nix.settings.post-build-hook = hook;
    systemd.services.nixs3-push = {
      description = "Uploads of built Nix store paths";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" ];
      environment = {
        NIXS3_TO = cfg.to;
        NIXS3_QUEUE = queue;
        TMPDIR = "/var/cache/nixs3";
      } // lib.optionalAttrs (cfg.signWith != null) {
        NIXS3_SIGN_WITH = "%d/key";
      };
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/nixs3 push --watch";
        LoadCredential = lib.mkIf (cfg.signWith != null) "key:${cfg.signWith}";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        Restart = "on-failure";
        StateDirectory = "nixs3/queue";
        CacheDirectory = "nixs3";
        NoNewPrivileges = true;
        PrivateDevices = true;
        ProtectHome = true;
        ProtectSystem = "strict";
      };
    };
  };
}
