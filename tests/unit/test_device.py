from kseg import device


def test_memory_is_kept_in_glibc_and_other_libraries_are_left_alone(monkeypatch):
    asked = {}

    class Library:
        @staticmethod
        def mallopt(option, value):
            asked[option] = value

    device.keep_freed_memory.cache_clear()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: Library)
    device.keep_freed_memory()
    device.keep_freed_memory()
    assert asked == {-3: 16 << 20, -1: 256 << 20}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD

    device.keep_freed_memory.cache_clear()
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: object())  # musl has no mallopt
    device.keep_freed_memory()
