# A NixOS module that serves a cache over HTTP:
#
#   services.nixs3-serve = {
#     enable = true;
#     package = nixs3;
#     settings = {
#       store = "s3://cache?region=eu-west-1";
#       push = true;
#       tokens = "/run/secrets/nixs3-tokens";
#       upstream = [ "https://cache.nixos.org cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY=" ];
#       optional-upstream = [ "https://team.example.org team-1:…" ]; # its outage counts as a miss
#     };
#     environmentFile = "/run/secrets/nixs3.env"; # AWS_ACCESS_KEY_ID=…
#   };
{ config, lib, pkgs, ... }:

let
  cfg = config.services.nixs3-serve;
  settings = pkgs.writeText "nixs3.json" (builtins.toJSON { serve = cfg.settings; });
in
{
  options.services.nixs3-serve = {
    enable = lib.mkEnableOption "a Nix binary cache over HTTP";
    package = lib.mkOption {
      type = lib.types.package;
      description = "The package with bin/nixs3.";
    };
    port = lib.mkOption {
      type = lib.types.port;
      default = 8080;
      description = "The port to listen on.";
    };
    openFirewall = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether to open the port in the firewall.";
    };
    settings = lib.mkOption {
      type = lib.types.attrs;
      example = { store = "s3://cache?region=eu-west-1"; };
      description = "Flags of nixs3 serve, without the dashes.";
    };
    environmentFile = lib.mkOption {
      type = lib.types.nullOr lib.types.path;
      default = null;
      description = "A file with credentials, as systemd's EnvironmentFile.";
    };
  };

  config = lib.mkIf cfg.enable {
    networking.firewall.allowedTCPPorts = lib.optional cfg.openFirewall cfg.port;
    systemd.sockets.nixs3-serve = {
      wantedBy = [ "sockets.target" ];
      listenStreams = [ (toString cfg.port) ];
    };
    systemd.services.nixs3-serve = {
      description = "Nix binary cache";
      wantedBy = [ "multi-user.target" ];
      requires = [ "nixs3-serve.socket" ];
      wants = [ "network-online.target" ];
      after = [ "network-online.target" "nixs3-serve.socket" ];
      environment = {
        NIXS3_CONFIG = settings;
        TMPDIR = "/var/cache/nixs3";
      };
      serviceConfig = {
        Type = "notify";
        ExecStart = "${cfg.package}/bin/nixs3 serve --listen systemd";
        EnvironmentFile = lib.mkIf (cfg.environmentFile != null) cfg.environmentFile;
        TimeoutStopSec = "6min";
        Restart = "on-failure";
        DynamicUser = true;
        CacheDirectory = "nixs3";
        LimitNOFILE = 65536;
        CapabilityBoundingSet = "";
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        ProtectHome = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        RestrictAddressFamilies = [ "AF_INET" "AF_INET6" "AF_UNIX" ];
        RestrictNamespaces = true;
        SystemCallFilter = [ "@system-service" ];
      };
    };
  };
}
