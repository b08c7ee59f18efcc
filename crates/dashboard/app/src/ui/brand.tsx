export function Brand() {
  return (
    <span className="brand" style={{ paddingInline: 0 }}>
      <svg viewBox="0 0 32 32" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#0f766e" />
        <path d="M8 13v6h4l8 5V8l-8 5H8z" fill="#fff" />
        <path d="M23 12a5.5 5.5 0 0 1 0 8" fill="none" stroke="#fff" strokeWidth="2" strokeLinecap="round" />
      </svg>
      Clarion
    </span>
  );
}
