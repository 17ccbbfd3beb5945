{
  'variables': {
    # 1 builds the C++ unit tests too; their sources are not in the published package.
    'skein_tests%': 0,
    'skein_werror%': 0,
    'core_sources': [
      'native/core/auth.cc',
      'native/core/backoff.cc',
      'native/core/control_plane.cc',
      'native/core/control_plane_auth.cc',
      'native/core/control_plane_beat.cc',
      'native/core/control_plane_close.cc',
      'native/core/control_plane_dial.cc',
      'native/core/control_plane_handshake.cc',
      'native/core/control_plane_input.cc',
      'native/core/control_plane_lane.cc',
      'native/core/control_plane_refusal.cc',
      'native/core/crc32c.cc',
      'native/core/events.cc',
      'native/core/frame.cc',
      'native/core/hello.cc',
      'native/core/phi_accrual.cc',
    ],
  },
  'target_defaults': {
    'cflags!': ['-flto', '-flto=4', '-Wno-unused-parameter'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-Wno-unused-parameter'],
    'cflags': ['-Wall', '-Wextra', '-Wconversion', '-fvisibility=hidden', '-fno-lto'],
    'cflags_cc': ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-fvisibility-inlines-hidden'],
    'conditions': [
      ['skein_werror==1', {'cflags': ['-Werror']}],
      ['OS=="mac"', {
        'xcode_settings': {
          'CLANG_CXX_LANGUAGE_STANDARD': 'c++20',
          'GCC_ENABLE_CPP_EXCEPTIONS': 'NO',
          'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
          'MACOSX_DEPLOYMENT_TARGET': '11.0',
          'OTHER_CFLAGS': ['-Wall', '-Wextra', '-Wconversion'],
        },
      }],
    ],
  },
  'targets': [
    {
      'target_name': 'skein',
      'sources': [
        '<@(core_sources)',
        'native/io/control_thread.cc',
        'native/io/event_record.cc',
        'native/io/event_ring.cc',
        'native/io/js_loop.cc',
        'native/io/lane_table.cc',
        'native/io/listener.cc',
        'native/io/node_host.cc',
        'native/io/openssl_auth.cc',
        'native/io/socket.cc',
        'native/binding/addon.cc',
        'native/binding/core_bindings.cc',
        'native/binding/env_state.cc',
        'native/binding/lane_bindings.cc',
        'native/binding/loop_call.cc',
        'native/binding/transport_wrap.cc',
        'native/binding/values.cc',
      ],
      'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS', 'NODE_ADDON_API_DISABLE_DEPRECATED',
                  # A worker may be terminated inside a call: then no exception can be thrown, and none is needed.
                  'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'conditions': [
        ['OS=="linux"', {
          'ldflags': [
            # Prebuilt binaries travel: no C++ runtime of the system is needed, none of ours is exported.
            '-static-libstdc++', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL',
            # A control thread that waits for a name server may outlive the worker that loaded the addon.
            '-Wl,-z,nodelete',
          ],
        }],
      ],
    },
  ],
  'conditions': [
    ['skein_tests==1', {
      'targets': [
        {
          'target_name': 'skein_native_test',
          'type': 'executable',
          'sources': ['<@(core_sources)', 'native/io/event_record.cc', 'native/io/event_ring.cc', '<!@(node -p "require(\'node:fs\').readdirSync(\'native/test\').filter((f) => f.endsWith(\'.cc\')).map((f) => \'native/test/\' + f).join(\' \')")'],
          'ldflags': ['-static-libstdc++', '-Wl,--gc-sections'],
        },
      ],
    }],
  ],
}
